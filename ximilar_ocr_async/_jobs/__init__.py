"""Images that are read later: ids of asynchronous requests in, outcomes out as they are done."""

from ximilar_ocr_async._jobs.job import Job
from ximilar_ocr_async._jobs.job_list import JobList
from ximilar_ocr_async._jobs.receiver import Delivery, WebhookReceiver
from ximilar_ocr_async._jobs.submission import Submission

__all__ = ["Delivery", "Job", "JobList", "Submission", "WebhookReceiver"]
