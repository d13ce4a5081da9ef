-- The exact numbers, where wrk itself prints rounded ones. There is deliberately no request() and no
-- response() here: those would run for every request and cost the load tool its speed.
done = function(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format("exact requests=%d bytes=%d micros=%d status=%d broken=%d timeout=%d\n",
      summary.requests, summary.bytes, summary.duration, errors.status,
      errors.connect + errors.read + errors.write, errors.timeout))
end
