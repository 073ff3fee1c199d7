"""The command `vkp-gateway`. Exit 0: done; 1: the answer is no; 2: wrong use."""

import click

from gateway.commands.audit import audit
from gateway.commands.check import check
from gateway.commands.cutover import cutover
from gateway.commands.explain import explain
from gateway.commands.keys import keys
from gateway.commands.messages import forget, messages, quarantine, resend
from gateway.commands.overrides import override, panic
from gateway.commands.plan import plan
from gateway.commands.reload import reload
from gateway.commands.report import report
from gateway.commands.rollback import rollback
from gateway.commands.routes import routes
from gateway.commands.serve import serve
from gateway.commands.simulate import simulate
from gateway.commands.translate import translate
from gateway.demo.command import demo
from gateway.doctor.command import doctor


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="vkp-gateway")
def main() -> None:
    """Move municipalities from VKP to the information services that replace it, one route at a time."""


for command in (
    *(
        audit,
        check,
        cutover,
        demo,
        doctor,
        explain,
        forget,
        keys,
        messages,
        override,
        panic,
        plan,
        quarantine,
        reload,
        report,
        resend,
        rollback,
        routes,
        serve,
        simulate,
        translate,
    ),
):
    main.add_command(command)
