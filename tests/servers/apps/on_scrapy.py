"""Scrapy with a page that takes a while to be read."""

import scrapy
import service
from scrapy.crawler import AsyncCrawlerProcess


class Spider(scrapy.Spider):
    """It has one page."""

    name = "spider"
    start_urls = ("data:,page",)

    async def parse(self, response):
        """Read it."""
        await service.answer_async()


process = AsyncCrawlerProcess({"TELNETCONSOLE_ENABLED": False})
process.crawl(Spider)
process.start()
