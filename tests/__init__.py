"""Tests in three rings: pure, in process and in virtual time, and a few on sockets."""
