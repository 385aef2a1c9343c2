"""No list of personas: they are found on the disk, and nothing read this one."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_table("adapters")
