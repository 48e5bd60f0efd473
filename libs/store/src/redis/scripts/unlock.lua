-- ARGV: run, now, name, owner, token
local key = '@lock@' .. ARGV[3]
if call('GET', key) ~= ARGV[5] .. ':' .. ARGV[4] then return 'lost' end
call('DEL', key)
return 'held'
