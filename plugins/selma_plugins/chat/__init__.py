"""Chat models: servers that speak the OpenAI protocol, models on this machine, and a scripted one."""
