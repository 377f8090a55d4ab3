"""`/v1/batches`: files of requests, answered while nothing else waits."""
