"""German words for what label tables name in English: organs, vessels, lesions and sides."""

from __future__ import annotations

import re

# English in lower case: the noun and its gender (m, f, n), or p for a plural.
_NOUNS: dict[str, tuple[str, str]] = {
    "adrenal gland": ("Nebenniere", "f"), "aorta": ("Aorta", "f"), "brain": ("Gehirn", "n"),
    "clavicle": ("Schlüsselbein", "n"), "colon": ("Dickdarm", "m"), "duodenum": ("Zwölffingerdarm", "m"),
    "esophagus": ("Speiseröhre", "f"), "face": ("Gesicht", "n"), "femur": ("Oberschenkelknochen", "m"),
    "gallbladder": ("Gallenblase", "f"), "heart": ("Herz", "n"), "hip": ("Hüfte", "f"),
    "humerus": ("Oberarmknochen", "m"), "inferior vena cava": ("untere Hohlvene", "f"),
    "superior vena cava": ("obere Hohlvene", "f"), "kidney": ("Niere", "f"), "liver": ("Leber", "f"),
    "lung": ("Lunge", "f"), "lower lobe of lung": ("Unterlappen", "m"), "upper lobe of lung": ("Oberlappen", "m"),
    "middle lobe of right lung": ("Mittellappen", "m"), "myocardium": ("Myokard", "n"),
    "left atrium": ("linker Vorhof", ""), "right atrium": ("rechter Vorhof", ""),
    "left ventricle of heart": ("linker Ventrikel", ""), "right ventricle of heart": ("rechter Ventrikel", ""),
    "pancreas": ("Bauchspeicheldrüse", "f"), "prostate": ("Prostata", "f"),
    "pulmonary artery": ("Pulmonalarterie", "f"), "pulmonary vein": ("Pulmonalvene", "f"),
    "sacrum": ("Kreuzbein", "n"), "scapula": ("Schulterblatt", "n"), "skull": ("Schädel", "m"),
    "small intestine": ("Dünndarm", "m"), "spinal cord": ("Rückenmark", "n"), "spleen": ("Milz", "f"),
    "sternum": ("Brustbein", "n"), "stomach": ("Magen", "m"), "thyroid gland": ("Schilddrüse", "f"),
    "trachea": ("Luftröhre", "f"), "urinary bladder": ("Harnblase", "f"), "rib": ("Rippe", "f"),
    "bone": ("Knochen", "m"), "muscle": ("Muskel", "m"), "skeletal muscle": ("Skelettmuskel", "m"),
    "fat": ("Fettgewebe", "n"), "subcutaneous fatty tissue": ("Unterhautfettgewebe", "n"), "artery": ("Arterie", "f"),
    "vein": ("Vene", "f"), "lymph node": ("Lymphknoten", "m"), "tumor": ("Tumor", "m"),
    "neoplasm": ("Neoplasie", "f"), "lesion": ("Läsion", "f"), "cyst": ("Zyste", "f"), "edema": ("Ödem", "n"),
    "necrosis": ("Nekrose", "f"), "nodule": ("Rundherd", "m"), "metastasis": ("Metastase", "f"),
    "infiltrate": ("Infiltrat", "n"), "hemorrhage": ("Blutung", "f"),
    "ground glass opacity": ("Milchglastrübung", "f"), "consolidation": ("Konsolidierung", "f"),
    "lung consolidation": ("Konsolidierung", "f"), "pleural effusion": ("Pleuraerguss", "m"),
    "pericardial effusion": ("Perikarderguss", "m"), "pneumothorax": ("Pneumothorax", "m"),
    "atelectasis": ("Atelektase", "f"), "emphysema": ("Emphysem", "n"), "pulmonary embolism": ("Lungenembolie", "f"),
    "thrombus": ("Thrombus", "m"), "implant": ("Implantat", "n"), "tibia": ("Schienbein", "n"),
    "fibula": ("Wadenbein", "n"), "ulna": ("Elle", "f"), "radius": ("Speiche", "f"), "patella": ("Kniescheibe", "f"),
    "carpus": ("Handwurzel", "f"), "iliopsoas muscle": ("Iliopsoas", "m"),
    "deep muscle of back": ("autochthone Rückenmuskulatur", "f"),
    "common iliac artery": ("Arteria iliaca communis", "f"), "common iliac vein": ("Vena iliaca communis", "f"),
    "subclavian artery": ("Arteria subclavia", "f"), "common carotid artery": ("Arteria carotis communis", "f"),
    "brachiocephalic vein": ("Vena brachiocephalica", "f"),
    "brachiocephalic artery": ("Truncus brachiocephalicus", "m"),
}  # fmt: skip
_ORDINALS = dict(
    zip(
        [
            "first",
            "second",
            "third",
            "fourth",
            "fifth",
            "sixth",
            "seventh",
            "eighth",
            "ninth",
            "tenth",
            "eleventh",
            "twelfth",
        ],
        range(1, 13),
        strict=True,
    )
)
_SIDES = {"left": ("link", "links"), "right": ("recht", "rechts")}
_ENDINGS = {"m": "er", "f": "e", "n": "es"}
_VERTEBRA = {"c": "Halswirbel", "t": "Brustwirbel", "l": "Lendenwirbel", "s": "Sakralwirbel"}


def german_names(meaning: str, side: str = "") -> tuple[str, ...]:
    """Give the German names of a concept, none where it is not known.

    Args:
        meaning: English code meaning, such as ``Kidney``, ``First rib`` or ``T12 vertebra``.
        side: ``Left`` or ``Right``, or empty.

    Returns:
        The ways a German reader writes it: ``Niere links`` and ``linke Niere``.
    """
    found = _noun(meaning.strip().casefold())
    if found is None:
        return ()
    noun, gender = found
    if side.casefold() not in _SIDES or not gender:
        return () if side and not gender else (noun,)
    stem, adverb = _SIDES[side.casefold()]
    return (f"{noun} {adverb}", f"{stem}{_ENDINGS[gender]} {noun}")


def _noun(word: str) -> tuple[str, str] | None:
    if vertebra := re.fullmatch(r"([ctls])(\d{1,2}) vertebra", word):
        return f"{vertebra[2]}. {_VERTEBRA[vertebra[1]]}", "m"
    first, _, rest = word.partition(" ")
    if rest == "rib" and first in _ORDINALS:
        return f"{_ORDINALS[first]}. Rippe", "f"
    return _NOUNS.get(word)
