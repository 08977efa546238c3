"""What makes a dataclass an event: its type, version, key and who may send it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, cast, dataclass_transform

from pydantic import TypeAdapter

EXTERNAL = "external"


T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def message(model: type[T]) -> type[T]:
    """A dataclass that nobody changes.

    Only the type checker sees to that: freezing at run time triples the price of making one.
    """
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(model)


@dataclass(frozen=True, slots=True)
class Contract:
    """One version of one event.

    `key` names the field whose value is the Kafka key; `producers` names the services that publish it, or
    `EXTERNAL` for systems around Coffer; `latest` tells handlers' version from superseded ones, which carry
    an upcaster to the next version.
    """

    name: str
    version: int
    key: str
    producers: tuple[str, ...]
    model: type[Any]
    upcast: Callable[[Any], Any] | None = None

    @property
    def type(self) -> str:
        return f"{self.name}.v{self.version}"

    @property
    def adapter(self) -> TypeAdapter[Any]:
        return cast(TypeAdapter[Any], self.model.adapter)

    @property
    def topic(self) -> str:
        return self.name


class Codec:
    """Builds an event's strict JSON codec when it is first asked for, and leaves it at the event.

    Each takes memory and start-up time that only those who read or write the event need.
    """

    def __get__(self, _: "Event | None", model: type["Event"]) -> TypeAdapter[Any]:
        adapter: TypeAdapter[Any] = TypeAdapter(model)
        setattr(model, "adapter", adapter)  # noqa: B010  # the class attribute takes this descriptor's place
        return adapter


class Event:
    """Base of every event model: carries its contract and its strict JSON codec."""

    __slots__ = ()
    contract: ClassVar[Contract]
    adapter: ClassVar[TypeAdapter[Any]] = Codec()  # type: ignore[assignment]  # a descriptor that gives one

    def key(self) -> str:
        """The Kafka key: the id whose order must hold."""
        return str(getattr(self, self.contract.key))

    def to_json(self) -> bytes:
        """The event as one UTF-8 JSON object; absent optional fields are left out."""
        return self.adapter.serializer.to_json(self, exclude_none=True)


E = TypeVar("E", bound=type[Event])

REGISTRY: dict[tuple[str, int], Contract] = {}
TYPES: dict[str, Contract] = {}


class DuplicateContract(Exception):
    """Two models declared for the same event and version."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        super().__init__(f"{contract.type} is declared twice")


def event(
    name: str,
    version: int,
    *,
    key: str,
    producers: tuple[str, ...],
    upcast: Callable[[Any], Any] | None = None,
) -> Callable[[E], E]:
    """Registers a dataclass as one version of an event."""

    def register(model: E) -> E:
        contract = Contract(name, version, key, producers, model, upcast)
        if (name, version) in REGISTRY:
            raise DuplicateContract(contract)
        model.contract = contract
        REGISTRY[name, version] = TYPES[contract.type] = contract
        return model

    return register


def latest(name: str) -> Contract:
    """The newest version of an event; KeyError when there is no such event."""
    return REGISTRY[name, max((version for known, version in REGISTRY if known == name), default=0)]
