"""A bucket service and a catalogue that answer from what a test put into them, and keep every call."""

from __future__ import annotations

from omsd.domain.model import CloudType
from omsd.domain.questions import CdnChecked, CheckedKey, CheckedUrl, FolderEntry, UrlListChecked
from omsd.service import bucket_requests as asked
from omsd.service.buckets import BucketRegion, CdnInfo, ObjectPage
from omsd.service.catalog import ApiVersion, CloudInfo, CloudRegions, CloudTypes, Quota, RegionInfo


class FakeBucketService:
    """names: of the objects in the one bucket, in order; each page is cut out of them."""

    def __init__(self) -> None:
        self.calls: list[object] = []
        self.raises: Exception | None = None
        self.entries: list[FolderEntry] = [FolderEntry("d/", None), FolderEntry("a b", 1536)]
        self.checked: tuple[CheckedKey, ...] = (CheckedKey("k", True, True, True),)
        self.exists = True
        self.list_checked = UrlListChecked(
            70,
            2,
            0,
            (),
            (CheckedUrl("http://h/a", "a", 200, 5, ""), CheckedUrl("http://h/b", "b", 200, -1, "")),
            None,
        )

    async def list_buckets(self, request: asked.ListBuckets) -> tuple[str, ...]:
        self._note(request)
        return ("one", "two")

    async def list_objects(self, request: asked.ListBucketObjects) -> ObjectPage:
        self._note(request)
        names = [entry.name for entry in self.entries]
        first = names.index(request.behind_filename) + 1 if request.behind_filename else 0
        page = self.entries[first : first + (request.page_size or 100)]
        more = first + len(page) < len(names)
        return ObjectPage(tuple(page), page[-1].name if more else None)

    async def bucket_region(self, request: asked.GetBucketRegion) -> BucketRegion:
        self._note(request)
        return BucketRegion("eu-west-3", "Europe (Paris)", True)

    async def has_prefix(self, request: asked.CheckPrefix) -> bool:
        self._note(request)
        return self.exists

    async def cdn_info(self, request: asked.GetCdnInfo) -> CdnInfo:
        self._note(request)
        checked = CdnChecked(self.checked, is_of_vendor=True)
        return CdnInfo(True, checked.is_download_available, checked)

    async def check_url_list(self, request: asked.CheckUrlList) -> UrlListChecked:
        self._note(request)
        return self.list_checked

    def _note(self, call: object) -> None:
        self.calls.append(call)
        if self.raises is not None:
            raise self.raises


class FakeCatalog:
    """One of everything."""

    def versions(self) -> tuple[ApiVersion, ...]:
        return (self.version("v2"),)

    def version(self, version_id: str) -> ApiVersion:
        return ApiVersion(version_id, f"/{version_id}/", "CURRENT", "2020-01-01T12:00:00Z")

    def cloud_types(self, end: str) -> CloudTypes:
        return CloudTypes(
            (CloudType.AWS,), (CloudInfo(CloudType.AWS, end == "src"), CloudInfo(CloudType.AZURE, False))
        )

    def cloud_regions(self, cloud_type: str = "") -> tuple[CloudRegions, ...]:
        region = RegionInfo("eu-west-3", "Europe (Paris)", "https://s3", True)
        azure = RegionInfo("eastus", "East US", "", False)
        both = (CloudRegions(CloudType.AWS, (region,)), CloudRegions(CloudType.AZURE, (azure,)))
        return tuple(entry for entry in both if cloud_type in ("", entry.cloud.value))

    async def quotas(self, project_id: str) -> tuple[Quota, ...]:
        return (
            Quota("MaxParallelTaskNum", 5, 2, f"running, asked by {project_id}"),
            Quota("WaitingTaskNum", 0, 3, "waiting"),
        )
