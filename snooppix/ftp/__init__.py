"""Archives that are a directory on an FTP server: followed by its listing, fetched by RETR and REST."""
