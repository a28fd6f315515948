"""Clients that nobody here wrote, each at work on the archive at an address; prints what it found as JSON.

``python foreign_clients.py CLIENT ADDRESS DIRECTORY`` is started by test_foreign_clients.py, in a process of its own:
cadcutils keeps its cache under HOME, and warnings of other people's packages are not errors of ours.
"""

import io
import json
import sys
from pathlib import Path
from typing import Any

URIS = "SELECT uri FROM caom2.Artifact ORDER BY uri"
PLANE = "SELECT publisherID, productID FROM caom2.Plane WHERE productID = '979412p'"
URI = "cadc:CFHT/979412p.fits.fz"


def ask_pyvo(address: str, _: Path) -> dict[str, Any]:
    import pyvo

    service = pyvo.dal.TAPService(f"{address}/argus")
    job = service.submit_job("SELECT COUNT(*) AS n FROM caom2.Plane")
    pending = job.phase
    job.run().wait(timeout=60)
    counted = int(job.fetch_result()["n"][0])
    listed = [one.jobid for one in service.get_job_list()]
    job.delete()
    stopped = service.submit_job(URIS)
    stopped.abort()
    try:
        service.run_async("SELECT nothing FROM caom2.Plane")
        reason = ""
    except pyvo.dal.DALQueryError as error:
        reason = str(error)
    plane = service.search(PLANE)
    links = pyvo.dal.adhoc.DatalinkResults.from_result_url(
        f"{address}/caom2ops/datalink?ID={plane['publisherID'][0]}",
    )
    this = list(links.bysemantics("#this", include_narrower=False))  # what is narrower, it asks the IVOA's own server
    return {
        "sync": list(service.search(URIS)["uri"]),
        "async": list(service.run_async(URIS)["uri"]),
        "phases": [pending, stopped.phase],
        "counted": counted,
        "listed": len(listed),
        "reason": reason,
        "links": [link.access_url for link in this],
        "size": len(this[0].getdataset().read()),
    }


def ask_cadc(address: str, directory: Path) -> dict[str, Any]:
    from cadcutils import net
    from cadcutils.net import ws

    ws.DEFAULT_REGISTRY = f"{address}/reg/resource-caps"
    from cadcdata import StorageInventoryClient
    from cadctap import CadcTapClient

    nobody = StorageInventoryClient(net.Subject())
    told = nobody.cadcinfo(URI)
    nobody.cadcget(URI, str(directory / "got.fits.fz"))
    nobody.cadcget(URI, str(directory / "got.txt"), fhead=True)
    known = net.Subject()
    known.token = "t0ken"
    somebody = StorageInventoryClient(known)
    ours, name = directory / "got.fits.fz", "cadc:CFHT/979499p.fits.fz"
    somebody.cadcput(name, str(ours), file_type="application/fits")
    put = somebody.cadcinfo(name).md5sum
    ws.FILE_SEGMENT_THRESHOLD, ws.MAX_MD5_COMPUTE_SIZE, ws.PREFERRED_SEGMENT_SIZE = 1, 0, 7000
    somebody.cadcput(name.replace("99p", "98p"), str(ours), file_type="application/fits")
    in_segments = somebody.cadcinfo(name.replace("99p", "98p")).md5sum
    somebody.cadcremove(name)
    somebody.cadcremove(name.replace("99p", "98p"))
    table = directory / "table.csv"
    CadcTapClient(net.Subject(), resource_id="ivo://cadc.nrc.ca/argus").query(
        URIS, output_file=str(table), response_format="csv"
    )
    return {
        "size": told.size,
        "md5": told.md5sum,
        "put": put,
        "segments": in_segments,
        "header": (directory / "got.txt").read_text().count("XTENSION"),
        "query": [line for line in table.read_text().splitlines() if line.startswith("cadc:")],
    }


def ask_astroquery(address: str, _: Path) -> dict[str, Any]:
    from astroquery.cadc import CadcClass, conf

    conf.CADC_REGISTRY_URL = f"{address}/reg/resource-caps"
    cadc = CadcClass()
    plane = cadc.exec_sync(PLANE)
    job = cadc.create_async(URIS).run().wait(timeout=60)
    signed_in = CadcClass()
    signed_in.login(user="astronomer", password="secret")
    return {
        "urls": cadc.get_data_urls(plane),
        "async": [str(uri) for uri in job.fetch_result().to_table()["uri"]],
        "tables": list(cadc.get_tables(only_names=True)),
        "signed in": len(signed_in.exec_sync(URIS)),
    }


if __name__ == "__main__":
    client, address, directory = sys.argv[1:]
    shown, sys.stdout = sys.stdout, io.StringIO()
    found = {"pyvo": ask_pyvo, "cadc": ask_cadc, "astroquery": ask_astroquery}[client](address, Path(directory))
    json.dump(found, shown)
