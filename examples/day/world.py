"""Who takes part in the day: organisations, customers with a role in the story, their accounts and users."""

from dataclasses import dataclass
from typing import Literal

Role = Literal[
    "plain",  # money and credit in plenty
    "hot",  # the same, with many orders
    "tight-purse",  # the account runs dry: later orders are declined
    "running-low",  # the account falls below its alert threshold, and pays all the same
    "overdraft-first",  # a deduction order of the customer's own
    "tight-limit",  # the credit limit rejects what exceeds it
    "warned",  # the credit limit only warns
    "approval",  # large documents wait for special approval
    "small-documents",  # large documents are rejected
    "unmanaged",  # nothing is checked, nothing is occupied
    "no-profile",  # managed, and without any credit profile
    "other-currency",  # managed, with a profile in another currency only
    "no-right",  # nobody has the right to use the balance
]

GROUP = "ORG-GROUP"


@dataclass(frozen=True, slots=True)
class Region:
    """One legal organisation with its shops: currency, decimals, clock, and the order system that speaks for it."""

    code: str
    currency: str
    decimals: int
    tax_percent: str
    utc_offset: str
    legal: str
    businesses: tuple[str, ...]
    source: str


CHINA = Region("CN", "CNY", 2, "13", "+08:00", "LEG-CN", ("BUS-SH", "BUS-CD"), "shop-shanghai")
AMERICA = Region("US", "USD", 2, "8.25", "-05:00", "LEG-US", ("BUS-NY", "BUS-LA"), "shop-newyork")
JAPAN = Region("JP", "JPY", 0, "10", "+09:00", "LEG-JP", ("BUS-TYO",), "shop-tokyo")
KUWAIT = Region("KW", "KWD", 3, "5", "+03:00", "LEG-KW", ("BUS-KWI",), "shop-kuwait")
REGIONS = (CHINA, AMERICA, JAPAN, KUWAIT)


@dataclass(frozen=True, slots=True)
class Organisation:
    """A row of the ERP's list of organisations."""

    id: str
    name: str
    organisation_type: Literal["group", "legal", "business"]
    parent: str | None
    time_zone: str


ORGANISATIONS = (
    Organisation(GROUP, "华联集团 Hualian Group", "group", None, "Asia/Shanghai"),
    Organisation("LEG-CN", "华联贸易(中国)有限公司", "legal", GROUP, "Asia/Shanghai"),
    Organisation("LEG-US", "Hualian Trading USA, Inc.", "legal", GROUP, "America/New_York"),
    Organisation("LEG-JP", "華聯通商株式会社", "legal", GROUP, "Asia/Tokyo"),
    Organisation("LEG-KW", "Hualian Gulf W.L.L.", "legal", GROUP, "Asia/Kuwait"),
    Organisation("BUS-SH", "上海营业部", "business", "LEG-CN", "Asia/Shanghai"),
    Organisation("BUS-CD", "成都营业部", "business", "LEG-CN", "Asia/Shanghai"),
    Organisation("BUS-NY", "New York Sales", "business", "LEG-US", "America/New_York"),
    Organisation("BUS-LA", "Los Angeles Sales", "business", "LEG-US", "America/Los_Angeles"),
    Organisation("BUS-TYO", "東京営業所", "business", "LEG-JP", "Asia/Tokyo"),
    Organisation("BUS-KWI", "Kuwait City Sales", "business", "LEG-KW", "Asia/Kuwait"),
)


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer with its one account in its region; `orders` is how many it places besides the odd ones."""

    number: int
    name: str
    region: Region
    role: Role
    orders: int
    customer_group: str | None = None

    @property
    def id(self) -> str:
        return f"C-{self.number}"

    @property
    def account(self) -> str:
        return f"A-{self.number}-{self.region.code}"

    @property
    def user(self) -> str:
        return f"U-{self.number}"

    @property
    def contended(self) -> bool:
        """Whether its orders compete for one purse or limit, so that their order decides."""
        return self.role in ("tight-purse", "tight-limit")


CUSTOMERS = (
    Customer(1001, "上海晨光文具有限公司", CHINA, "hot", 130, "CG-EAST"),
    Customer(1002, "苏州工业园华兴机电", CHINA, "tight-purse", 90, "CG-EAST"),
    Customer(1003, "杭州西湖茶业", CHINA, "plain", 22, "CG-EAST"),
    Customer(1004, "宁波港航物资公司", CHINA, "running-low", 24, "CG-EAST"),
    Customer(1005, "南京金陵药房连锁", CHINA, "tight-limit", 40, "CG-EAST"),
    Customer(1006, "成都锦里食品", CHINA, "plain", 20, "CG-WEST"),
    Customer(1007, "重庆山城火锅底料厂", CHINA, "running-low", 20, "CG-WEST"),
    Customer(1008, "昆明花卉批发市场", CHINA, "warned", 18, "CG-WEST"),
    Customer(1009, "西安大雁塔书店", CHINA, "unmanaged", 15, "CG-WEST"),
    Customer(1010, "拉萨高原牦牛乳业", CHINA, "approval", 12, "CG-WEST"),
    Customer(1011, "广州白云服装", CHINA, "plain", 20),
    Customer(1012, "深圳南山电子", CHINA, "overdraft-first", 18),
    Customer(1013, "东莞长安模具", CHINA, "small-documents", 12),
    Customer(1014, "厦门鼓浪屿钢琴行", CHINA, "no-profile", 3),
    Customer(1015, "福州茉莉花茶庄", CHINA, "other-currency", 3),
    Customer(1016, "武汉长江造船配件", CHINA, "plain", 18),
    Customer(1017, "长沙湘江烟花", CHINA, "no-right", 4),
    Customer(1018, "哈尔滨冰雪器材", CHINA, "plain", 16),
    Customer(1019, "呼和浩特蒙牛经销商(二部)", CHINA, "plain", 14),
    Customer(1020, "乌鲁木齐天山果业", CHINA, "running-low", 16),
    Customer(1021, "青岛啤酒经销・李村店", CHINA, "plain", 14),
    Customer(1022, "天津狗不理食品𠮷", CHINA, "plain", 12),
    Customer(2001, "Acme Hardware LLC", AMERICA, "hot", 90, "CG-USA"),
    Customer(2002, "O'Brien & Sons, Inc.", AMERICA, "tight-purse", 60, "CG-USA"),
    Customer(2003, "Björk Möbel Import", AMERICA, "plain", 18, "CG-USA"),
    Customer(2004, "Señor Taco Supplies", AMERICA, "running-low", 18, "CG-USA"),
    Customer(2005, "Kowalski Łódź Textiles", AMERICA, "plain", 14),
    Customer(2006, 'Smith "Big Tools" Depot', AMERICA, "tight-limit", 30),
    Customer(2007, "Pacific Rim Foods", AMERICA, "plain", 16),
    Customer(2008, "Zhang Brothers (USA) 张氏兄弟", AMERICA, "plain", 14),
    Customer(2009, "Green Valley Co-op", AMERICA, "unmanaged", 10),
    Customer(2010, "Northern Lights Candles", AMERICA, "approval", 10),
    Customer(2011, "Delta Office <Direct>", AMERICA, "warned", 12),
    Customer(2012, "St. Louis Bearings", AMERICA, "plain", 12),
    Customer(3001, "株式会社山田商店", JAPAN, "hot", 50, "CG-JAPAN"),
    Customer(3002, "大阪たこ焼き本舗", JAPAN, "tight-purse", 40, "CG-JAPAN"),
    Customer(3003, "京都西陣織物", JAPAN, "plain", 14, "CG-JAPAN"),
    Customer(3004, "札幌ラーメン横丁", JAPAN, "running-low", 14, "CG-JAPAN"),
    Customer(3005, "横浜中華街 萬珍樓", JAPAN, "plain", 12),
    Customer(3006, "福岡明太子工房", JAPAN, "small-documents", 10),
    Customer(3007, "名古屋城下町金物", JAPAN, "plain", 12),
    Customer(3008, "沖縄黒糖産業", JAPAN, "tight-limit", 20),
    Customer(4001, "Al-Salam Trading Co.", KUWAIT, "hot", 40, "CG-GULF"),
    Customer(4002, "Gulf Star Electronics", KUWAIT, "tight-purse", 30, "CG-GULF"),
    Customer(4003, "شركة النور للتجارة", KUWAIT, "plain", 12, "CG-GULF"),
    Customer(4004, "Hawally Motors", KUWAIT, "running-low", 12),
    Customer(4005, "Desert Rose Perfumes", KUWAIT, "overdraft-first", 12),
    Customer(4006, "Salmiya Marine Supply", KUWAIT, "approval", 8),
)


@dataclass(frozen=True, slots=True)
class Material:
    """Something that is sold; `price` in CNY, other currencies follow from it."""

    id: str
    group: str
    price: str


MATERIALS = (
    Material("M-101", "MG-PAPER", "3.45"),
    Material("M-102", "MG-PAPER", "0.125"),
    Material("M-103", "MG-PAPER", "28.8"),
    Material("M-201", "MG-TOOLS", "159"),
    Material("M-202", "MG-TOOLS", "1249.5"),
    Material("M-203", "MG-TOOLS", "78.905"),
    Material("M-301", "MG-FOOD", "12.6"),
    Material("M-302", "MG-FOOD", "45.333333"),
    Material("M-303", "MG-FOOD", "8.08"),
    Material("M-304", "MG-FOOD", "399"),
    Material("M-401", "MG-PARTS", "0.0375"),
    Material("M-402", "MG-PARTS", "6.5"),
    Material("M-403", "MG-PARTS", "2200"),
    Material("M-501", "MG-TEXTILE", "88"),
    Material("M-502", "MG-TEXTILE", "64.75"),
    Material("M-503", "MG-TEXTILE", "513.2"),
)
