"""Shop: the tasks of products, the cart and orders."""

from homeostat.envs.phone.tasks.base import Slots, Template, World
from homeostat.envs.phone.tasks.common import path, run
from homeostat.envs.phone.tasks.oracle import View

__all__ = ["TEMPLATES"]

_BUY = frozenset({"buy"})


def _product(w: World) -> Slots:
    i, name, price = w.pick("select id, name, price from products")
    return {"_id": str(i), "name": name, "answer": price}


def _buy(w: World) -> Slots:
    i, name = w.pick("select id, name from products where name not in (select name from cart)")
    return {"_id": str(i), "name": name}


def _in_cart(w: World) -> Slots:
    return {"name": w.pick("select name from cart")[0]}


def _order(w: World) -> Slots:
    w.pick("select 1 from cart")
    return {}


def _count(v: View) -> int:
    count: int = v.device.db.execute("select count(*) from cart").fetchone()[0]
    return count


_CART = path({"shop/product": "cart", "shop/cart": "{name}", "dialog:remove {name}": "remove"})
_ORDER = path({"shop/product": "cart", "shop/cart": "order"})

TEMPLATES = (
    Template(
        "shop_add",
        "shop",
        (
            "put {name} into the cart",
            "add {name} to my cart",
            "i want {name}, put it in the shopping cart",
            "place {name} in the cart",
        ),
        _buy,
        path({"shop/list": "{name}", "shop/product": "add"}),
        run("insert into cart (name) values (?)", "name"),
        tags=_BUY,
    ),
    Template(
        "shop_remove",
        "shop",
        (
            "take {name} out of the cart",
            "remove {name} from my cart",
            "i do not want {name}, take it out of the cart",
            "drop {name} from the cart",
        ),
        _in_cart,
        lambda v, s: v.tap(f"cart {_count(v)}") if v.screen == "shop/list" else _CART(v, s),
        run("delete from cart where name = ?", "name"),
    ),
    Template(
        "shop_order",
        "shop",
        ("order what is in the cart", "place the order", "check out the cart", "buy everything in the cart"),
        _order,
        lambda v, s: v.tap(f"cart {_count(v)}") if v.screen == "shop/list" else _ORDER(v, s),
        lambda s: [("insert into orders (name) select name from cart", ()), ("delete from cart", ())],
        tags=_BUY,
    ),
    Template(
        "shop_read_price",
        "shop",
        (
            "what does {name} cost?",
            "how much is {name} in the shop?",
            "tell me the price of {name}",
            "look up the price of {name}",
        ),
        _product,
        path({"shop/list": "{name}"}),
        at="shop/product",
        answer=lambda s: s["answer"],
    ),
)
