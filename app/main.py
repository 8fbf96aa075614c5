"""The server: settings, database, images, and the routes of every feature."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.staticfiles import StaticFiles

from app import ROOT
from app.analysis import evidence_routes as evidence
from app.analysis import report_routes as report
from app.analysis import results_routes as results
from app.analysis import routes as analysis
from app.batches import api, delivery_routes
from app.batches import routes as batches
from app.batches.delivery_folder import DeliveryFolder
from app.batches.worker import Worker
from app.designer import routes as designer
from app.errors import Conflict
from app.readers import routes as readers
from app.reading import room
from app.reading import routes as reading
from app.rehearsal import routes as rehearsal
from app.rehearsal.worker import Rehearser
from app.researchers import account_routes, accounts_routes
from app.researchers import routes as researchers
from app.responses import routes as responses
from app.settings import MIB, Settings
from app.storage.images import ImageStore
from app.storage.session import Database
from app.studies import member_routes as members
from app.studies import routes as studies
from app.web import health
from app.web.errors import add_error_pages
from app.web.identity import now
from app.web.security import Security


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. Conflict when the database is not at the version this code needs."""
    settings = settings or Settings()
    database = Database(settings.database)
    try:
        database.require_current()
    except Conflict:
        database.close()
        raise

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        jobs = (app.state.worker, app.state.rehearser)
        for each in jobs:
            each.start()
        yield
        for each in jobs:
            each.stop()
        database.close()

    app = FastAPI(title="Plainsight", lifespan=lifespan, openapi_url=None)
    app.state.settings = settings
    app.state.database = database
    app.state.images = ImageStore(settings.images)
    app.state.deliveries = DeliveryFolder(settings.deliveries)
    app.state.worker = Worker(database, app.state.images, app.state.deliveries, now)
    app.state.rehearser = Rehearser(app, database, app.state.images, now, settings)
    app.add_middleware(Security, max_body=settings.max_upload_mib * MIB)
    for feature in (
        researchers,
        account_routes,
        accounts_routes,
        api,
        delivery_routes,
        batches,
        studies,
        designer,
        rehearsal,
        members,
        readers,
        reading,
        room,
        responses,
        results,
        report,
        analysis,
        evidence,
        health,
    ):
        app.include_router(feature.router)
    # Nothing else is compressed: how far an image shrinks would tell its arm.
    app.mount("/static", GZipMiddleware(StaticFiles(directory=ROOT / "static")), name="static")
    add_error_pages(app)
    return app
