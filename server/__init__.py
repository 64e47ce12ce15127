"""The server: sockets, threads and files around the synchronous core in `engine`."""
