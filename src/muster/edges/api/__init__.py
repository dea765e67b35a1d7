"""The interface for programs: `/api/v1`, JSON by HTTP, described by an OpenAPI document that is made from it."""
