"""The vocabulary of the made-up catalogue: people, words and the language each market sings in.

Not here: chance. `cohorts` draws from these lists.
"""

# ruff: noqa: RUF001 -- letters of other alphabets are the point of these lists

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Language:
    """What artists and titles of one language are made of, and the markets that listen to it first."""

    markets: tuple[str, ...]
    first: tuple[str, ...]
    last: tuple[str, ...]
    words: tuple[str, ...]


def _language(markets: str, first: str, last: str, words: str) -> Language:
    return Language(tuple(markets.split()), tuple(first.split()), tuple(last.split()), tuple(words.split()))


LANGUAGES: Final[Mapping[str, Language]] = {
    "english": _language(
        "GB IE MT",
        "Ada Callum Ella Finn Imogen Jude Maeve Rory Saoirse Theo",
        "Ashdown Brannigan Calloway Fairley Hartnell Lowry Marsh O'Dowd Penhallow Wilde",
        "Midnight Harbour Golden Static Paper Electric Northern Holloway Summer Gravity Honey Velvet Rain",
    ),
    "nordic": _language(
        "DK SE NO FI IS",
        "Astrid Bjørn Freja Håkon Ingrid Jökull Linnéa Mikkel Søren Väinö",
        "Ångström Bergström Dahl Guðmundsdóttir Hämäläinen Lindqvist Møller Nygård Sørensen Østergaard",
        "Sommernat Nordlys Hjerte Längtan Ensomhed Vinterljus Kesäyö Ljósið Havet Drømme Skygge Midsommar",
    ),
    "german": _language(
        "DE AT CH LI LU",
        "Anneliese Björn Emil Günther Hanna Jörg Käthe Leon Matthäus Zoë",
        "Bäcker Eichhorn Fröhlich Grünwald Jäger Köhler Müller Schröder Strauß Weiß",
        "Großstadt Heimweh Nachtzug Sehnsucht Übermorgen Fernweh Zwielicht Straßenlicht Herbst Augenblick",
    ),
    "french": _language(
        "FR BE MC",
        "Amélie Benoît Chloé Étienne Gaël Inès Léa Maëlle Noémie Théo",
        "Beauchêne Delacroix Fournier Lefèvre Légaré Maréchal Noël Périer Rousseau Vallée",
        "Minuit L'été Tempête Mémoire Boulevard Sous-bois Ailleurs Lumière Déjà-vu Rêverie Brûlure",
    ),
    "iberian": _language(
        "ES PT AD",
        "Adrián Begoña Conceição Duarte Íñigo Joana Lucía Nuño Paloma Simão",
        "Álvarez Bragança Castañeda Figueira Gonçalves Ibáñez Muñoz Peña Simões Vázquez",
        "Corazón Madrugada Saudade Fuego Canción Verão Mañana Luar Ritmo Ceniza",
    ),
    "italian": _language(
        "IT SM",
        "Alessia Beatrice Cosimo Elia Fiorella Gioele Ludovica Nicolò Ruggero Viola",
        "Bellucci Conti D'Amico Esposito Ferrara Lombardi Marchetti Romano Santoro Tedeschi",
        "Domenica Estate Perché Notte Città Fuoco Lunedì Mare Libertà Carezza",
    ),
    "dutch": _language(
        "NL",
        "Anouk Bram Fenna Joost Liesbeth Maarten Noor Sjoerd Tijmen Zoë",
        "Bakker De_Vries Dijkstra Hoekstra Jansen Kuijpers Van_Dam Verhoeven Vink Zonneveld",
        "Thuis Zomeravond Regen Vuurtoren Dromen Gracht Morgenrood Weemoed Fietslicht Zeewind",
    ),
    "west-slavic": _language(
        "PL CZ SK",
        "Agnieszka Bořek Ewa Jiří Kateřina Łukasz Małgorzata Ondřej Šárka Żaneta",
        "Čapková Dvořák Grzegorczyk Kowalczyk Říha Šimko Świątek Wójcik Zieliński Žák",
        "Księżyc Půlnoc Cisza Světlo Wspomnienie Řeka Podróż Ľúbosť Miasto Hvězdy",
    ),
    "south-slavic": _language(
        "SI HR BA ME RS",
        "Anđela Boštjan Čedomir Dženana Goran Jelena Luka Mirjana Siniša Željka",
        "Babić Đorđević Hadžić Jovanović Kovačević Marušić Novak Petrović Šarić Žunić",
        "Ponoć Sunce Čežnja Grad Ljubav Vjetar More Zvijezde Jutro Tišina",
    ),
    "cyrillic": _language(
        "BG BY MK UA",
        "Бояна Віра Ґалина Димитър Зорица Ілля Калина Їжак Оксана Тодор",
        "Бондаренко Георгиев Ѓорѓиев Димитрова Ковальчук Петков Стојановска Шевчук Щербак Янева",
        "Північ Море Сърце Світло Љубов Дощ Ноќ Мрії Лято Вітер",
    ),
    "greek": _language(
        "GR CY",
        "Αλέξανδρος Δήμητρα Ελένη Ηλίας Καλλιόπη Νίκος Ορέστης Σοφία Φαίδρα Χρήστος",
        "Αγγελόπουλος Βασιλείου Γεωργίου Δημητρίου Καραγιάννη Λάμπρου Νικολάου Παππάς Σταύρου Χατζή",
        "Θάλασσα Νύχτα Φεγγάρι Καλοκαίρι Όνειρο Ψυχή Άνεμος Δρόμος Σιωπή Φωτιά",
    ),
    "baltic": _language(
        "EE LV LT",
        "Agnė Elīna Indrek Jānis Kärt Lõuna Mārtiņš Rūta Tõnis Žydrė",
        "Bērziņš Čepaitis Kazlauskaitė Kõiv Liepiņa Mägi Ozoliņš Põld Šimkutė Žukauskas",
        "Jūra Öö Naktis Saule Suvi Vējš Ilgesys Tuul Rudens Valgus",
    ),
    "caucasian": _language(
        "AM GE",
        "Անահիտ Արամ Գոհար Նարեկ Լևոն ანა გიორგი ლევანი ნინო თამარი",
        "Գրիգորյան Հակոբյան Պետրոսյան Սարգսյան Խաչատրյան ბერიძე გელაშვილი კაპანაძე მაისურაძე ჩხეიძე",
        "Գիշեր Սեր Լույս Երազ Քամի ღამე სიყვარული ზღვა სიზმარი ქარი",
    ),
    "turkic": _language(
        "TR AZ",
        "Aygün Çağla Elçin Gökçe İlkay Nazlı Oğuz Şebnem Ülkü Yiğit",
        "Aydın Çelik Əliyev Güneş Həsənova İpek Öztürk Şahin Ünal Yıldız",
        "Gece Yağmur Sevgi Yıldızlar Rüzgâr Düş Gecəyarısı Deniz Şehir Hasret",
    ),
    "hungarian": _language(
        "HU",
        "Ágnes Bálint Csilla Előd Gergő Írisz Lőrinc Móni Örs Zsófia",
        "Balogh Csőke Fehér Győri Horváth Kővári Nagy Szűcs Tóth Vörös",
        "Éjfél Nyár Szerelem Eső Őszi Álom Fény Csönd Út Tűz",
    ),
    "romanian": _language(
        "RO MD",
        "Andreea Călin Doina Ștefan Ioana Mihăiță Nicoleta Răzvan Smaranda Țepeș",
        "Bălan Ciobanu Drăgulescu Ionescu Măgureanu Popa Răducanu Stănescu Șerban Țurcanu",
        "Noapte Dor Vară Ploaie Inimă Lumină Vânt Târziu Cuvinte Răsărit",
    ),
    "albanian": _language(
        "AL XK",
        "Arbër Blerta Drilon Ëndrra Flutura Genc Jehona Lirië Shpëtim Yllka",
        "Berisha Çela Dervishi Gjoka Hoxha Krasniqi Leka Përmeti Shehu Zogaj",
        "Natë Dashuri Dielli Ëndërr Mall Rruga Vera Zemra Hëna Kënga",
    ),
}
"""A market that belongs to none of them is sung to in English."""

LANGUAGE_OF: Final[Mapping[str, str]] = {
    market: name for name, language in LANGUAGES.items() for market in language.markets
}
"""The language of each market."""

BAND_NOUNS: Final = tuple(
    "Lighthouse Foxes Cartographers Parade Machine Orchestra Tape_Club Wolves Radio Collective".split()
)
LABELS: Final = tuple(
    "Polarlys_Records Ninefold Kastanie Musik_am_Fluss Blå_Time Disques_du_Quai Ámbar Łódź_Tapes".split()
)

VERSIONS: Final = ("Live", "Remix", "Acoustic", "Remastered")

AWKWARD_TITLES: Final = (
    'Say "Nothing", Please',
    "1/2 & 3\\4",
    "naïve, encore; déjà vu",
    "🌊🌊🌊",
    "Cafe\u0301",
    "ليلة",
    "לילה",
    "夜に駆ける",
    "(Untitled) [#7] <demo>",
    "100 %",
)
"""Titles that a careless join, quote or path would break."""


def spaced(word: str) -> str:
    """A listed word as people see it: `_` stands for a space inside a name."""
    return word.replace("_", " ")
