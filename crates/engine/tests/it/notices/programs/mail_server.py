"""A mail server of Debian's python3-aiosmtpd: certificate and login are needed. Says where it listens, then each mail.

Arguments: folder with cert.pem and key.pem, `starttls` or `implicit`."""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import AuthResult, SMTP

folder, how = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder + "/cert.pem", folder + "/key.pem")


def login(server, session, envelope, mechanism, data):
    # Not handled: the server itself answers a stranger.
    return AuthResult(success=(data.login, data.password) == (b"ops", b"hunter2"), handled=False)


seen = set()


class Keep:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("gone"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("later") and address not in seen:
            seen.add(address)
            return "451 4.7.1 come again"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 yes"

    async def handle_DATA(self, server, session, envelope):
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "protected": server.transport.get_extra_info("ssl_object") is not None,
            "login": session.authenticated,
            "data": envelope.content.decode("ascii"),
        }
        print(json.dumps(mail), flush=True)
        if "too odd" in mail["data"]:
            return "554 5.6.0 too odd"
        return "250 2.0.0 kept"


def server():
    starttls = {"tls_context": context, "require_starttls": True} if how == "starttls" else {}
    # With the whole connection protected there is no STARTTLS that a login could wait for.
    return SMTP(Keep(), authenticator=login, auth_required=True, auth_require_tls=how == "starttls",
                loop=loop, **starttls)


loop = asyncio.new_event_loop()
protected = {"ssl": context} if how == "implicit" else {}
listening = loop.run_until_complete(loop.create_server(server, "127.0.0.1", 0, **protected))
print(listening.sockets[0].getsockname()[1], flush=True)
loop.run_until_complete(loop.run_in_executor(None, sys.stdin.read))
