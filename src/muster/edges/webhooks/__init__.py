"""The edge to those who are told: requests to addresses that administrators and receivers named."""
