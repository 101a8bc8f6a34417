"""Shop: products with prices, a cart, and orders."""

from homeostat.envs.phone.effects import back, confirm, do, go, sql, toast
from homeostat.envs.phone.ui import App, Context, Screen, button, item, line

__all__ = ["Shop"]


class Shop(App):
    """The app: products by name. The content of the cart can be ordered."""

    name = "shop"
    colour = (170, 60, 20)
    schema = """
        create table products (id integer primary key, name text not null, price text not null);
        create table cart (id integer primary key, name text not null);
        create table orders (id integer primary key, name text not null);
    """

    def list(self, ctx: Context) -> Screen:
        """Shows every product."""
        rows = ctx.all("select id, name from products order by name, id")
        (count,) = ctx.one("select count(*) from cart")
        footer = (button(f"cart {count}", go("cart")),)
        return Screen("shop", tuple(item(n, tap=go("product", id=i)) for i, n in rows), footer)

    def product(self, ctx: Context) -> Screen:
        """Shows one product."""
        name, price = ctx.one("select name, price from products where id = ?", ctx.params["id"])
        add = do(sql("insert into cart (name) values (?)", name), toast("added"))
        return Screen(name, (line("price", price),), (button("add", add), button("cart", go("cart"))))

    def cart(self, ctx: Context) -> Screen:
        """Shows the cart. A tap offers to remove a product."""
        body = []
        for i, name in ctx.all("select id, name from cart order by name, id"):
            out = confirm(f"remove {name}", do(sql("delete from cart where id = ?", i), toast("removed")), "remove")
            body.append(item(name, tap=out))
        order = do(
            sql("insert into orders (name) select name from cart order by id"),
            sql("delete from cart"),
            back(),
            toast("ordered"),
        )
        return Screen("cart", tuple(body), (button("order", order),))
