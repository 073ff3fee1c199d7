"""Clients of VKP and of the information services, each with its circuit breaker.

Others use:

- `registry.UpstreamRegistry`, `registry.ConfiguredClients`, `registry.standings`: which kind of upstream has which client, and how each stands;
- `jft.JftClient`, `jft_answers`: JFT, and what became of a delivery;
- `okt.OktClient`: OKT, one person at a time;
- `pit.PitClient`: the patients that PIT has;
- `pmd.PmdClient`: PMD, each bundle once;
- `vkp.VkpClient`, `vkp.Sent`: VKP as we call it ourselves;
- `epj.EpjClient`, `service_caller.AnswerRefused`: a record system of a municipality's own, and an answer that breaks a contract;
- `circuit_breaker.pause`.
"""
