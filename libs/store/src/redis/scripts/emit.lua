-- Logs an event and tells the holder. Written flat: this is the step that runs for each event.
-- ARGV: run, now, task, event id, final, status, record, attempt ('' where no run says it). Answers logged, duplicate,
-- final, superseded, or homeless: the task belongs nowhere yet, or its connection is of another life; nothing was done,
-- and emit_homeless does it.
local call = redis.call
local task, id, final = ARGV[3], ARGV[4], ARGV[5]
local state_key = '@state@' .. task
local state = call('HMGET', state_key, 'final', 'event', 'count', 'attempt', 'cluster', 'pod')
if state[1] == '1' then return state[2] == id and 'duplicate' or 'final' end
if ARGV[8] ~= '' and state[4] and tonumber(ARGV[8]) < tonumber(state[4]) then return 'superseded' end
local home = call('GET', '@alias@' .. task)
if not home then return 'homeless' end
local meta_key = '@meta@' .. home
local meta = call('HMGET', meta_key, 'run', 'epoch', 'off', 'keep')
if meta[1] ~= ARGV[1] then return 'homeless' end
if call('SADD', '@seen@' .. task, id) == 0 then return 'duplicate' end

local off = string.format('%.0f', meta[3] + 1)
local log_key = '@log@' .. home
local logged = redis.pcall('XADD', log_key, 'MAXLEN', meta[4] or @floor@, off .. '-0', 'r', ARGV[7])
if type(logged) == 'table' then
  -- Somebody else wrote under this name. An error takes nothing back, so the id is unseen again; the history ends here.
  call('SREM', '@seen@' .. task, id)
  call('HDEL', meta_key, 'run')
  return 'homeless'
end
call('HSET', meta_key, 'off', off)
call('HSET', state_key, 'record', ARGV[7], 'status', ARGV[6], 'event', id, 'final', final, 'off', off,
  'count', (state[3] or 0) + 1)
if final == '1' then
  call('DEL', '@seen@' .. task, '@body@' .. task)
  call('ZADD', '@tasks@' .. home, 'XX', off, task)
  -- Nobody runs it any more, and nobody will.
  if state[5] then call('ZREM', '@waiting@' .. state[5], task) end
  if state[6] then call('SREM', '@claims@' .. state[6], task) end
end
local holder = call('GET', '@connections@' .. home)
if holder then
  call('PUBLISH', '@channel@' .. string.match(holder, '^([^:]+)'),
    'E\t' .. home .. '\t' .. meta[2] .. '\t' .. off .. '\t' .. ARGV[7])
end
-- Lifetimes are refreshed when the first minute is gone, or a key is new: the state with the task's first event, the
-- seen ids with our own first, which a foreign event may precede. An accepted task has no end of life before its end.
if not state[3] or call('TTL', '@seen@' .. task) < @fresh@ then
  for _, key in ipairs({'@alias@' .. task, '@seen@' .. task, '@rows@' .. task}) do
    call('EXPIRE', key, @ttl@)
  end
  if final == '1' or not state[5] then call('EXPIRE', state_key, @ttl@) end
end
if call('TTL', log_key) < @fresh@ then
  for _, key in ipairs({meta_key, log_key, '@tasks@' .. home, '@connections@' .. home}) do
    call('EXPIRE', key, @ttl@)
  end
end
return 'logged'
