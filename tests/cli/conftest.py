from tests.journeys.conftest import empty, shop

__all__ = ["empty", "shop"]
