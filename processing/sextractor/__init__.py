"""SExtractor: detection, measurement and classification of sources (Bertin & Arnouts 1996, A&AS 117, 393)."""
