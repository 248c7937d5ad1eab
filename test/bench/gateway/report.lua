-- For wrk: what to send, and the result as one line of JSON. `POST=10240` sends that many bytes.
local size = os.getenv("POST")
if size ~= nil then
  wrk.method = "POST"
  wrk.body = string.rep("x", tonumber(size))
  wrk.headers["Content-Type"] = "application/octet-stream"
end

function done(summary, latency)
  local errors = summary.errors
  io.stdout:write(string.format(
    '\n{"requests":%d,"microseconds":%d,"errors":{"failed":%d,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d},"p50":%d,"p99":%d}\n',
    summary.requests,
    summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    errors.connect, errors.read, errors.write, errors.status, errors.timeout,
    latency:percentile(50),
    latency:percentile(99)
  ))
end
