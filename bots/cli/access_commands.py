"""Commands for who may use the bot."""

import asyncio
from typing import Annotated

import typer

from bots.cli.common import ConfigFile, check_subject, create_console, load, open_store, print_pairing_code

app = typer.Typer()
access_app = typer.Typer(no_args_is_help=True, help="Inspect who may use the bot.")
app.add_typer(access_app, name="access")


@app.command()
def pair(config_file: ConfigFile = None) -> None:
    """Create a pairing code. Whoever sends it to the bot becomes an operator."""
    from core.turns.access_control import create_pairing_code

    async def create() -> None:
        async with open_store(config_file) as store:
            print_pairing_code(await create_pairing_code(store))

    asyncio.run(create())


@app.command()
def allow(
    subject: Annotated[
        str,
        typer.Argument(
            help="Such as telegram:person:ID, telegram:chat:ID, discord:server:ID or discord:role:ID.",
            callback=check_subject,
        ),
    ],
    config_file: ConfigFile = None,
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Revoke the permission instead.")] = False,
) -> None:
    """Allow a person, a chat, a server or a role to use the bot."""
    from core.settings import AccessMode
    from core.store.grants import Role, add_member, revoke

    async def change() -> None:
        is_open_to_all = load(config_file).core.access is AccessMode.OPEN
        async with open_store(config_file) as store:
            if not remove:
                role = await store.write(add_member, subject)
                if role is Role.BANNED:
                    create_console().print(f"{subject} is banned. Lift the ban first: parley ban {subject} --remove")
                elif role is Role.OPERATOR:
                    create_console().print(
                        f"{subject} is an operator of the bot already and stays one. To take that right away, "
                        "revoke the permission with --remove first."
                    )
                else:
                    create_console().print(f"{subject} can now use the bot.")
            elif await store.write(revoke, subject, is_open_to_all=is_open_to_all):
                create_console().print(f"{subject} can no longer use the bot.")
            else:
                create_console().print(f"{subject} had no permission to revoke.")

    asyncio.run(change())


@app.command()
def ban(
    subject: Annotated[
        str,
        typer.Argument(
            help="Such as telegram:person:ID, discord:server:ID or discord:role:ID.", callback=check_subject
        ),
    ],
    config_file: ConfigFile = None,
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Lift the ban instead.")] = False,
) -> None:
    """Ban a person, a chat, a server or a role. They get nothing from the bot, not even a refusal."""
    from core.store.grants import Role, lift_ban
    from core.store.grants import ban as ban_subject

    async def change() -> None:
        async with open_store(config_file) as store:
            if not remove:
                if await store.write(ban_subject, subject) is Role.OPERATOR:
                    create_console().print(
                        f"{subject} is an operator of the bot. Revoke that permission first: "
                        f"parley allow {subject} --remove"
                    )
                else:
                    create_console().print(f"{subject} is banned. The bot no longer reacts to them.")
            elif await store.write(lift_ban, subject):
                create_console().print(f"{subject} is no longer banned.")
            else:
                create_console().print(f"{subject} was not banned.")

    asyncio.run(change())


@access_app.command("list")
def access_list(config_file: ConfigFile = None) -> None:
    """List who may use the bot, and who is banned: people, chats, servers and roles."""
    from bots.tables import print_grants
    from core.store.grants import list_grants

    async def show() -> None:
        settings = load(config_file).core
        async with open_store(config_file) as store:
            print_grants(await store.read(list_grants), settings.access, create_console())

    asyncio.run(show())
