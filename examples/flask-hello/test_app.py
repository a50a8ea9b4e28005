"""What must hold before a release may go live: `smoke` in tagship.yml runs this on each host, in its virtualenv."""

from __future__ import annotations

import unittest

from app import app


class Page(unittest.TestCase):
    def setUp(self) -> None:
        self.client = app.test_client()

    def test_greets_who_says_a_name(self) -> None:
        answer = self.client.post("/", data={"name": " Ada  <b>"})
        self.assertEqual(answer.status_code, 200)
        self.assertIn("Hello, Ada &lt;b&gt;!", answer.text)

    def test_asks_who_says_none(self) -> None:
        answer = self.client.post("/", data={"name": " "})
        self.assertEqual(answer.status_code, 422)
        self.assertIn('role="alert"', answer.text)

    def test_knows_the_scheme_behind_a_proxy(self) -> None:
        answer = self.client.get("/", headers={"X-Forwarded-Proto": "https"})
        self.assertIn("over https", answer.text)


if __name__ == "__main__":
    unittest.main()
