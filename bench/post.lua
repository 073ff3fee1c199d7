-- wrk sends the file BENCH_BODY with the fields BENCH_HEADERS, and prints answers, problems and microseconds.
-- With BENCH_SERIES each message has an id of its own, and one of the patients of the file BENCH_PATIENTS.
local file = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
file:close()
for name, value in os.getenv("BENCH_HEADERS"):gmatch("([^:\n]+): ([^\n]+)") do
  wrk.headers[name] = value
end

local series = os.getenv("BENCH_SERIES")
if series then
  local patients, pieces, sent = {}, nil, 0
  for number in io.lines(os.getenv("BENCH_PATIENTS")) do
    patients[#patients + 1] = number
  end
  local id, patient = os.getenv("BENCH_ID"), os.getenv("BENCH_PATIENT")

  -- The request once in pieces, cut where the id or the patient stands.
  local function cut(whole)
    local found, from = {}, 1
    while true do
      local i, p = whole:find(id, from, true), whole:find(patient, from, true)
      local at = i and p and math.min(i, p) or i or p
      if not at then
        found[#found + 1] = whole:sub(from)
        return found
      end
      found[#found + 1] = whole:sub(from, at - 1)
      found[#found + 1] = at == i and 1 or 2
      from = at + (at == i and #id or #patient)
    end
  end

  function request()
    pieces = pieces or cut(wrk.format())
    sent = sent + 1
    local own, about = string.format("%s%013d", series, sent), patients[sent % #patients + 1]
    local parts = {}
    for index, piece in ipairs(pieces) do
      parts[index] = piece == 1 and own or piece == 2 and about or piece
    end
    return table.concat(parts)
  end
end

function done(summary)
  local errors = summary.errors
  local problems = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  print(string.format("RESULT %d %d %d", summary.requests, problems, summary.duration))
end
