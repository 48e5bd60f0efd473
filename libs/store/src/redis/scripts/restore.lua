-- Says again what the store may have forgotten. ARGV: run, now, what accept says, standing (waiting or running), and
-- of a run the pod and the attempt.
local t, standing = ARGV[3], ARGV[12]
local known = call('HMGET', '@state@' .. t, 'cluster', 'final')
local well = standing == 'running' and not refusal(ARGV[13])
if not known[1] then
  if not home_of(t) then attach(ARGV[4], t) end
  accept()
end
if known[2] == '1' then
  -- Its end may have been told first.
  if not known[1] then keep_task(t) end
  return 'ended'
end
if not known[1] then
  if standing == 'running' then call('HSET', '@state@' .. t, 'attempt', ARGV[14]) end
  -- A run whose pod may not claim anything goes on all the same, and claims the task once its pod is well.
  if not well then enqueue(t) end
end
if well then return go_on(t, ARGV[13], ARGV[14]) and 'claimed' or 'lost' end
return call('ZSCORE', '@waiting@' .. ARGV[5], t) and 'waiting' or 'claimed'
