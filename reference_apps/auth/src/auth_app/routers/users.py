"""The user of a token, and users that an admin adds to the own tenant."""

import secrets
import string
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import AfterValidator, BaseModel, ConfigDict, EmailStr, StringConstraints
from sqlalchemy import select

from auth_app.database import Database, Tenant, User
from auth_app.identity import CurrentUser
from auth_app.security import PASSWORD_MAX_BYTES, hash_password

router = APIRouter(tags=["users"])

ROLES = ("admin", "vendedor")
GENERATED_PASSWORD_LENGTH = 12


def _fits_bcrypt(password: str) -> str:
    if len(password.encode()) > PASSWORD_MAX_BYTES:
        raise ValueError(f"longer than {PASSWORD_MAX_BYTES} bytes")
    return password


def _random_password() -> str:
    alphabet = string.ascii_letters + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(GENERATED_PASSWORD_LENGTH))


class UserView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    tenant_id: UUID
    nome: str
    email: str
    role: str
    ativo: bool


class TokenView(BaseModel):
    valid: Literal[True] = True
    user_id: UUID
    tenant_id: UUID
    email: str
    role: str


class NewUser(BaseModel):
    nome: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255, pattern=r"^[^\x00]+$")]
    email: EmailStr
    password: Annotated[str, StringConstraints(min_length=1), AfterValidator(_fits_bcrypt)] | None = None
    role: str = "vendedor"


class CreatedUser(UserView):
    password: str | None
    """The generated password, shown this once; null when the caller chose it."""


@router.get("/me")
def me(user: CurrentUser) -> UserView:
    return UserView.model_validate(user)


@router.get("/validate")
def validate(user: CurrentUser) -> TokenView:
    return TokenView(user_id=user.id, tenant_id=user.tenant_id, email=user.email, role=user.role)


@router.post("/users", status_code=201)
def create_user(new: NewUser, database: Database, admin: CurrentUser) -> CreatedUser:
    if admin.role != "admin":
        raise HTTPException(403, "Only an admin can create users")
    if new.role not in ROLES:
        raise HTTPException(400, f"Invalid role {new.role!r}: one of {', '.join(ROLES)}")
    # The table lets an e-mail address occur twice; the lock makes check and insert one step per tenant.
    database.execute(select(Tenant.id).where(Tenant.id == admin.tenant_id).with_for_update())
    if database.scalar(select(User.id).where(User.tenant_id == admin.tenant_id, User.email == new.email).limit(1)):
        raise HTTPException(409, "A user with this email already exists")
    password = new.password or _random_password()
    user = User(
        tenant_id=admin.tenant_id,
        nome=new.nome,
        email=new.email,
        password_hash=hash_password(password),
        role=new.role,
    )
    database.add(user)
    database.commit()
    return CreatedUser(**UserView.model_validate(user).model_dump(), password=None if new.password else password)
