"""Images that are read later: ids of asynchronous requests in, outcomes out as they are done."""

from ximilar_ocr_async._jobs.job import Job, JobList, Part, Submitting
from ximilar_ocr_async._jobs.receiver import Delivery, WebhookReceiver

__all__ = ["Delivery", "Job", "JobList", "Part", "Submitting", "WebhookReceiver"]
