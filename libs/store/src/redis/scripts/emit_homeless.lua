-- emit for a task that belongs nowhere, or to a connection of another life. It stays with its connection, or
-- goes where the event says. ARGV: as emit, and the connection.
local t, id, final, status, record = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local state = call('HMGET', '@state@' .. t, 'final', 'event', 'count', 'attempt')
if state[1] == '1' then return state[2] == id and 'duplicate' or 'final' end
if ARGV[8] ~= '' and state[4] and tonumber(ARGV[8]) < tonumber(state[4]) then return 'superseded' end
if call('SADD', '@seen@' .. t, id) == 0 then return 'duplicate' end
local home = home_of(t)
if not home then
  home = ARGV[9]
  attach(home, t)
end
log_of_task(home, t, id, final, status, record, state[3])
keep_connection(home)
return 'logged'
