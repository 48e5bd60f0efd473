-- Ends a stream whose tasks are all final. ARGV: run, now, connection, generation, epoch, offset
local c, generation = ARGV[3], tonumber(ARGV[4])
local known = call('HMGET', '@meta@' .. c, 'epoch', 'gen')
if not known[1] then return 'lost' end
local now = tonumber(known[2] or 0)
-- Nobody came after this holder, and its registration is gone: it ended before, and the answer was lost.
if now == generation + 1 and call('EXISTS', '@connections@' .. c) == 0 then return 'closed' end
if now > generation then return 'replaced' end
if now < generation then return 'lost' end
local epoch, off = history(c)
if ARGV[5] ~= epoch or ARGV[6] ~= int(off) or open_tasks(c) ~= 0 then return 'more' end
let_go(c, generation)
return 'closed'
