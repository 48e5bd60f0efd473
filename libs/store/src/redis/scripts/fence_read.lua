-- ARGV: run, now, cluster. Answers the greatest token of an order that was obeyed lately, or nothing.
return call('GET', '@fence@' .. ARGV[3]) or ''
