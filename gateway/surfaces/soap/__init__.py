"""VKP's journaling and retrieval as web services: MsgHead in, AppRec out, described by WSDLs of our own."""
