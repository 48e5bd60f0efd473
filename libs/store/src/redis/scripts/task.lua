-- What is known of tasks. ARGV: run, now, task. Answers nothing, or one item as in list.
local state = call('HMGET', '@state@' .. ARGV[3], 'cluster', 'connection', 'kind', 'at', 'record', 'final')
if not state[1] then return false end
local home = call('GET', '@alias@' .. ARGV[3]) or state[2]
return {ARGV[3], home, state[1], state[3], state[4], state[5] or '', state[6] or '0'}
