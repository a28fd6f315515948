"""What TERAPIX knows: frames, nodes, replicas, transfers, products, jobs, requests, events."""
