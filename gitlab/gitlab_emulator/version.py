"""The GitLab version whose behaviour is followed."""

VERSION = "19.3.0"
REVISION = "0a1b2c3d4e5"
