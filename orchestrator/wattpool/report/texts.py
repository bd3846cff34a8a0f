"""All words of report and bills, so that another language is another table."""

from types import MappingProxyType

TEXTS = MappingProxyType(
    {
        # Report: head.
        "report_title": "Energy report of {community}",
        "span": "{start} to {end}, {count} market periods of {minutes} minutes, times in {zone}",
        "about": (
            "Every figure on this page was read back from the community's ledger, where anyone can check it. Energy is "
            "in kilowatt-hours (kWh), money in tokens."
        ),
        "own_use_source": "What homes used of their own generation happens behind their meters; the homes tell it.",
        "battery_note": (
            "What a battery takes from the panels counts when it gives it back, what it takes from elsewhere counts as "
            "used: {names}."
        ),
        "no_own_use": "What homes used of their own generation happens behind their meters; no ledger knows it.",
        "homes": "homes",
        "used": "used",
        "generated": "generated",
        "own_use": "own use",
        "traded": "traded between neighbours",
        "grid_import": "from the grid",
        "grid_export": "to the grid",
        "network_fees": "network fees",
        "saved": "saved",
        "unit_kwh": "kWh",
        "unit_tokens": "tokens",
        "unit_price": "tokens per kWh",
        "as_table": "As a table",
        "time": "time",
        "day": "day",
        "all": "all",
        "home": "home",
        "others": "others",
        "nothing": "none",
        # Report: energy.
        "energy_title": "The energy of a day: {day}",
        "energy_text": (
            "Above the line is what homes used and where it came from, below it what they gave away and to whom. "
            "Unless another was chosen, this is the day on which most was traded."
        ),
        "energy_description": (
            "Energy of each market period, stacked. Upwards: own use, bought from neighbours, from the grid. Below: "
            "sold to neighbours, to the grid."
        ),
        "bought": "bought from neighbours",
        "sold": "sold to neighbours",
        "days_title": "Day by day",
        # Report: prices.
        "prices_title": "Prices of that day",
        "prices_text": (
            "What neighbours paid each other for a kilowatt-hour, network fee not included, between the two prices of "
            "the grid."
        ),
        "prices_description": (
            "Mean price of each market period in steps, in front of the range from lowest to highest price, between "
            "the grid's retail and feed-in prices."
        ),
        "price_mean": "mean price",
        "price_range": "lowest to highest",
        "price_low": "lowest",
        "price_high": "highest",
        "retail": "price from the grid",
        "feed_in": "price into the grid",
        # Report: who with whom.
        "partners_title": "Who traded with whom",
        "partners_text": "Sellers in rows, buyers in columns; kilowatt-hours over the whole time.",
        "seller_buyer": "seller \\ buyer",
        # Report: one negotiation.
        "negotiation_title": "How one period was negotiated: {start}",
        "negotiation_text": (
            "Each line is a seller and a buyer. The seller asks a price, the buyer bids one. If the bid covers what is "
            "asked, the pair agrees at the price asked; if not, the bid is a counter price, which the seller takes "
            "unless it is below the cost of generating. Pairs on one feeder come first, then all others. When the "
            "period has passed, a trade is settled for what both meters measured, at most for what was agreed."
        ),
        "cleared_text": (
            "Each line is a seller and a buyer. Nobody negotiated: the community's rules matched them and made the "
            "price. Pairs on one feeder come first, then all others. A trade is settled for what both meters measured, "
            "at most for what was agreed; where the rules share out what was measured, the two are one."
        ),
        "negotiation_aborted": "The market of this period was given up: {reason}",
        "negotiation_cut": "The first {shown} of {count} pairs are shown.",
        "level": "where",
        "level_feeder": "same feeder",
        "level_community": "community",
        "seller": "seller",
        "buyer": "buyer",
        "asked": "asked",
        "bid": "bid",
        "outcome": "outcome",
        "outcome_accepted": "accepted",
        "outcome_countered": "countered",
        "outcome_rejected": "rejected",
        "outcome_cleared": "matched",
        "price": "price",
        "agreed": "agreed kWh",
        "settled": "settled kWh",
        "paid": "paid",
        "fee": "fee",
        # Report: savings.
        "savings_title": "What each home saved",
        "savings_text": (
            "The saving is the bill at the grid's tariff alone, less the bill with the market. Below nothing is what a "
            "home was paid more than it owed."
        ),
        "alone": "bill at the tariff alone",
        "owed": "bill with the market",
        # Report: forecasts.
        "forecast_title": "Forecasts against facts",
        "forecast_text": (
            "What all homes together told the market before its gate closed, and what their meters then measured: "
            "above the line energy left over, below it energy that was lacking. A wrong forecast costs "
            "nothing; what was not foreseen is the grid's. The table leaves out what was traded by hand."
        ),
        "forecast_description": "Two lines in steps, one value per market period: expected and measured net energy.",
        "expected": "expected",
        "measured": "measured",
        "offered": "offered kWh",
        "exported": "exported kWh",
        "asked_for": "asked for kWh",
        "imported": "imported kWh",
        "mean_error": "mean error of a period, Wh",
        # Bill.
        "bill_title": "Energy bill of {name}",
        "bill_connection": "Connection {connection}, community {community}",
        "bill_final": (
            "Final bill: you moved out on {end}. What you promised by hand before, and corrections of your periods, "
            "can still change it."
        ),
        "bill_used": "You used {used} kWh: {own} of your own, {bought} from neighbours, {grid} from the grid.",
        "bill_generated": (
            "You generated {generated} kWh: {own} you used yourself, {sold} went to neighbours, {grid} to the grid."
        ),
        "bill_battery": (
            "Your battery is part of this: what it took from your panels counts when it gave it back, what it took "
            "from elsewhere counts as used."
        ),
        "bill_imported": "You drew {imported} kWh: {bought} from neighbours, {grid} from the grid.",
        "bill_exported": "You gave away {exported} kWh: {sold} to neighbours, {grid} to the grid.",
        "bill_owes": "You owe {owed} tokens. Without the market it would have been {alone}: you save {saving}.",
        "bill_earns": (
            "You are paid {owed} tokens. Without the market your bill would have been {alone}: you gain {saving}."
        ),
        "bill_items": "What it adds up to",
        "item": "item",
        "energy": "kWh",
        "mean_price": "mean price per kWh",
        "amount": "tokens",
        "item_own_use": "own use",
        "item_bought": "bought from neighbours",
        "item_fees": "network fees on it",
        "item_sold": "sold to neighbours",
        "item_firm_bought": "bought by hand",
        "item_firm_fees": "network fees on it",
        "item_firm_sold": "sold by hand",
        "item_compensation": "compensation for promises not kept",
        "item_grid_import": "the rest, from the grid",
        "item_grid_export": "the rest, to the grid",
        "total": "total",
        "bill_partners": "With whom you traded",
        "neighbour": "neighbour",
        "direction": "direction",
        "direction_bought": "you bought from",
        "direction_sold": "you sold to",
        "direction_firm_bought": "you bought by hand from",
        "direction_firm_sold": "you sold by hand to",
        "shortfall": "not delivered kWh",
        "no_trades": "You traded with nobody.",
        "bill_shortfalls": "Shortfalls",
        "shortfall_none": "All that was agreed was delivered.",
        "shortfall_bought": "You had agreed to buy {energy} kWh more than came about; you paid nothing for it.",
        "shortfall_sold": "You had agreed to sell {energy} kWh more than came about; you were charged nothing for it.",
        "shortfall_firm_bought": (
            "By hand you had agreed to buy {energy} kWh more than came about; what was not excused and cost one side "
            "something is compensated."
        ),
        "shortfall_firm_sold": (
            "By hand you had agreed to sell {energy} kWh more than came about; what was not excused and cost one side "
            "something is compensated."
        ),
        "unread": "{count} periods had no reading; your supplier settles them. The first: {start} ({quality}).",
        "bill_corrections": "Corrections",
        "bill_corrections_text": (
            "What meters had left open was filled in later, and settled again. The difference of trades moves between "
            "wallets; what an account does not cover stays due. All of it is in the amounts above."
        ),
        "correction_version": "version",
        "correction_quality": "reading",
        "correction_traded": "trades, tokens",
        "correction_grid": "grid, tokens",
        "correction_due": "still due, tokens",
        "quality_good": "as the meter measured",
        "quality_late": "measured, came late",
        "quality_substituted": "substituted by the network operator",
        "quality_span": "reading over several periods",
        "quality_unsure": "clock or reading in doubt",
        "quality_suspect": "reading cannot be true",
        "quality_missing": "no reading came",
        "bill_days": "Day by day",
        "bill_note": (
            "Amounts are exact to the millionth of a token; a minus is money for you. Every single trade is in the "
            "file {csv}."
        ),
    }
)
