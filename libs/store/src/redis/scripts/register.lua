-- Makes a pod the holder of a stream. ARGV: run, now, connection, pod, cluster, from, epoch, offset, entries,
-- bytes, when the client asked by this server's clock: at the earliest, at the latest, task...
local c, pod, from = ARGV[3], ARGV[4], ARGV[6]
local refused = refusal(pod)
if refused then return {refused} end
-- A request that was under way for longer than a newer one. A time that has not come yet says that the clock was set.
local time = tick()
local known = call('HMGET', '@meta@' .. c, 'gen', 'asked')
local asked = tonumber(known[2] or 0)
if asked > time then asked = 0 end
if tonumber(ARGV[12]) < asked then return {'late', int(time)} end
-- A stream that was closed is over for whoever resumes it, and begins anew for whoever opens it.
if from == 'start' then
  call('HDEL', '@meta@' .. c, 'closed')
elseif call('HEXISTS', '@meta@' .. c, 'closed') == 1 then
  return {'done'}
end
for i = 13, #ARGV do
  -- A client that resumes takes no task from anybody, or two pages would steal it for ever.
  if from == 'start' or not home_of(ARGV[i]) then attach(c, ARGV[i]) end
end
local reading = read(c, from, ARGV[7], ARGV[8], ARGV[9], ARGV[10])
if from == 'at' and reading[4] == '-1' and #reading[5] == 0 and reading[3] == 0 then return {'done'} end
local generation = int(math.max(tick(), tonumber(known[1] or 0) + 1))
call('HSET', '@meta@' .. c, 'gen', generation, 'asked', int(math.max(asked, math.min(tonumber(ARGV[11]), time))))
local old = hold(c, pod, ARGV[5])
if old then call('PUBLISH', '@channel@' .. old, 'X\t' .. c .. '\t' .. generation) end
call('PUBLISH', '@channel@' .. pod, 'R\t' .. c .. '\t' .. generation)
keep_connection(c)
return {'open', generation, reading, attached(c)}
