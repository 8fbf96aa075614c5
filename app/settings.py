"""Every setting of the server, with its meaning; values unsafe in production are refused."""

from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

MIB = 1024 * 1024


def is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False


class Settings(BaseSettings):
    """Read from the environment, each name with the prefix PLAINSIGHT_."""

    model_config = SettingsConfigDict(env_prefix="PLAINSIGHT_", frozen=True)

    home: Path = Field(
        default=Path("plainsight-data"),
        description="folder of the SQLite database and of the images",
    )
    database_url: str = Field(
        default="",
        description="where responses live; empty is SQLite in the home folder, "
        "or postgresql://user:password@host/name",
    )
    public_url: str = Field(
        default="http://127.0.0.1:8000",
        description="the address people open; reader links begin with it",
    )
    allow_http: bool = Field(
        default=False,
        description="allow a public_url without https on a host that is not this machine; "
        "cookies and answers then cross the network in the clear",
    )
    session_hours: int = Field(
        default=12, ge=1, le=24 * 30, description="how long a researcher stays signed in"
    )
    max_upload_mib: int = Field(
        default=2048, ge=1, description="largest batch that may be uploaded, in MiB"
    )

    @model_validator(mode="after")
    def refuse_what_is_unsafe(self) -> Self:
        address = urlsplit(self.public_url)
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise ValueError(
                f"PLAINSIGHT_PUBLIC_URL is {self.public_url!r}; "
                "write it as https://host or http://127.0.0.1:8000."
            )
        if address.scheme == "http" and not is_loopback(address.hostname) and not self.allow_http:
            raise ValueError(
                f"PLAINSIGHT_PUBLIC_URL {self.public_url} would send answers in the clear; "
                "use https, or set PLAINSIGHT_ALLOW_HTTP=1 on a network you trust."
            )
        if self.database.get_backend_name() not in {"sqlite", "postgresql"}:
            raise ValueError("PLAINSIGHT_DATABASE_URL must begin with sqlite:/// or postgresql://.")
        return self

    @cached_property
    def database(self) -> URL:
        """The database with the driver that we ship; see docs/decisions/0003."""
        if not self.database_url:
            return URL.create("sqlite", database=str(self.home / "plainsight.db"))
        try:
            url = make_url(self.database_url)
        except ArgumentError:
            raise ValueError(
                "PLAINSIGHT_DATABASE_URL cannot be read; "
                "write it as postgresql://user:password@host/name."
            ) from None
        if url.get_backend_name() in {"postgresql", "postgres"}:
            return url.set(drivername="postgresql+pg8000")
        return url

    @property
    def images(self) -> Path:
        return self.home / "images"

    @property
    def deliveries(self) -> Path:
        return self.home / "deliveries"

    @property
    def is_https(self) -> bool:
        return self.public_url.startswith("https://")
