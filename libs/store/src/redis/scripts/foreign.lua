-- Logs an event of a foreign publisher. ARGV: run, now, connection, generation, task, event id, named, final,
-- status, record. Answers as emit does, or notheld: every pod heard the event, and this one is not to take it.
local c, t, id, final, status, record = ARGV[3], ARGV[5], ARGV[6], ARGV[8], ARGV[9], ARGV[10]
local home = home_of(t)
if (home or t) ~= c or call('HGET', '@meta@' .. c, 'gen') ~= ARGV[4] then return 'notheld' end
-- What belongs to no task is about the connection itself, and has no state.
local state = home and call('HMGET', '@state@' .. t, 'final', 'count') or {}
if state[1] == '1' then return 'final' end
-- Kept apart from our own ids, which nobody may use up.
if ARGV[7] == '1' then
  if call('SADD', '@seen@' .. t, 'foreign\t' .. id) == 0 then return 'duplicate' end
  call('EXPIRE', '@seen@' .. t, @ttl@)
end
if home then
  log_of_task(c, t, id, final, status, record, state[2])
else
  -- A note is not its task's, should a task of this name ever come.
  append(c, 'N' .. string.sub(record, 2))
end
keep_connection(c)
return 'logged'
