-- Accepts a task once. ARGV: run, now, task, connection, cluster, kind, fingerprint, accepted at,
-- acceptance
local t, cluster = ARGV[3], ARGV[5]
local known = call('HMGET', '@state@' .. t, 'cluster', 'fingerprint', 'connection', 'acceptance')
if known[1] and known[1] ~= cluster then return {'cluster', known[1]} end
if known[1] and known[2] ~= ARGV[7] then return {'request'} end
local home = home_of(t)
if not home then
  home = known[3] or ARGV[4]
  attach(home, t)
end
history(home)
if not known[1] then
  local index = '@accepted@' .. cluster
  local newest = call('ZREVRANGE', index, 0, 0, 'WITHSCORES')
  local sequence = int(math.max(tick(), tonumber(newest[2] or 0) + 1))
  call('ZADD', index, sequence, t)
  call('HSET', '@state@' .. t, 'cluster', cluster, 'fingerprint', ARGV[7], 'connection', ARGV[4], 'kind', ARGV[6],
    'at', ARGV[8], 'acceptance', ARGV[9], 'sequence', sequence)
  -- The index outlives its tasks; what they leave in it is taken out here, faster than it comes.
  call('EXPIRE', index, 7 * @ttl@)
  for _, old in ipairs(call('ZRANGE', index, 0, 1)) do
    if call('EXISTS', '@state@' .. old) == 0 then call('ZREM', index, old) end
  end
end
keep_task(t)
keep_connection(home)
-- The same acceptance again: its answer was lost.
local repeated = known[1] and known[4] ~= ARGV[9]
return {repeated and 'repeated' or 'new', home, call('EXISTS', '@connections@' .. home)}
