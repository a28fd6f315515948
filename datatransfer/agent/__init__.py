"""The agent of a host: it reports its disks, serves its files, and fetches others' at the coordinator's word."""
