-- What wrk asks, and what it makes of each answer. Arguments: the paths, asked in turn.
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  requests, asked = {}, 0
  for number, path in ipairs(args) do
    requests[number] = wrk.format("GET", path)
  end
  seen, wrong, torn = {}, {}, 0
end

function request()
  asked = asked + 1
  return requests[asked % #requests + 1]
end

function response(status, headers, body)
  if status ~= 200 then
    wrong[tostring(status)] = (wrong[tostring(status)] or 0) + 1
  end
  local tag = string.match(body, "tag=([%w.+-]+)")
  if tag then
    seen[tag] = (seen[tag] or 0) + 1
  end
  if status == 200 and not (tag and string.find(body, "whole\n?$")) then
    torn = torn + 1
  end
end

local function counted(name)
  local sum = {}
  for _, thread in ipairs(threads) do
    for key, count in pairs(thread:get(name)) do
      sum[key] = (sum[key] or 0) + count
    end
  end
  local parts = {}
  for key, count in pairs(sum) do
    table.insert(parts, string.format("%q: %d", key, count))
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end

function done(summary, latency)
  local torn_answers = 0
  for _, thread in ipairs(threads) do
    torn_answers = torn_answers + thread:get("torn")
  end
  local errors = summary.errors
  io.write(string.format('\n{"requests": %d, "microseconds": %d, "connect": %d, "read": %d, "write": %d, ' ..
    '"timeout": %d, "torn": %d, "p50": %d, "p99": %d, "max": %d, "wrong": %s, "seen": %s}\n',
    summary.requests, summary.duration, errors.connect, errors.read, errors.write,
    errors.timeout, torn_answers, latency:percentile(50), latency:percentile(99), latency.max,
    counted("wrong"), counted("seen")))
end
