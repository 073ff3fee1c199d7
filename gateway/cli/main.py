"""The command `vkp-gateway`. Exit 0: done; 1: the answer is no; 2: wrong use."""

import click

from gateway.cli.check import check
from gateway.cli.cutover import cutover
from gateway.cli.demo.command import demo
from gateway.cli.doctor.command import doctor
from gateway.cli.explain import explain
from gateway.cli.inspect import audit, report, routes
from gateway.cli.keys import keys
from gateway.cli.messages import forget, messages, quarantine, resend
from gateway.cli.overrides import override, panic
from gateway.cli.plan import plan
from gateway.cli.rollback import rollback
from gateway.cli.serve import reload, serve
from gateway.cli.simulate import simulate
from gateway.cli.translate import translate


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
