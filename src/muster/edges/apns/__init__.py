"""The Apple Push Notification service, as a provider of notifications speaks to it."""
