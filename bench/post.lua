-- wrk sends the file BENCH_BODY with the fields BENCH_HEADERS, and prints answers, problems and microseconds.
local file = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
file:close()
for name, value in os.getenv("BENCH_HEADERS"):gmatch("([^:\n]+): ([^\n]+)") do
  wrk.headers[name] = value
end

function done(summary)
  local errors = summary.errors
  local problems = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  print(string.format("RESULT %d %d %d", summary.requests, problems, summary.duration))
end
