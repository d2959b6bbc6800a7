"""Made-up surfaces: one statistical texture per class, and flaws that disturb it in an ellipse."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from beam_preprocess.synth.noise import Floats, inside, smooth_noise

FULL_SIZE = 512
"""Edge of the real images, px. Smaller ones get finer grain and relatively larger flaws."""

CIRCLE_STEPS = 2048


@dataclass(frozen=True, kw_only=True)
class Surface:
    """A class of surfaces.

    Attributes:
      pattern: `grain` is noise of one wavelength, `weave` two such at right angles, `rings` are
        interfering circles too fine for the pixels, `rays` leave one point.
      mean, spread: Mean and standard deviation, grey values.
      wave_px: Wavelength of grain and weave, and of the grain on the others, in images of 512 px.
      length_px: Length of the streaks; 0 is grain without a direction.
      angle_deg: Direction of the streaks, 0 along the rows; each image is some degrees off.
      flaw: `faded` texture, a dark `scratch`, a paler or darker `spot`, texture that is `turned` by
        90 degrees.
    """

    pattern: Literal["grain", "weave", "rings", "rays"]
    mean: float
    spread: float
    wave_px: float
    length_px: float = 0
    angle_deg: float = 0
    flaw: Literal["faded", "scratch", "spot", "turned"]


# fmt: off
SURFACES = {
    1: Surface(pattern="rings", mean=70, spread=27, wave_px=3, flaw="faded"),
    2: Surface(pattern="grain", mean=98, spread=57, wave_px=7, length_px=30, angle_deg=95,
               flaw="scratch"),
    3: Surface(pattern="grain", mean=120, spread=32, wave_px=16, flaw="faded"),
    4: Surface(pattern="rays", mean=175, spread=18, wave_px=5, flaw="scratch"),
    5: Surface(pattern="grain", mean=140, spread=22, wave_px=9, flaw="spot"),
    6: Surface(pattern="weave", mean=105, spread=30, wave_px=12, length_px=14, angle_deg=45,
               flaw="turned"),
    7: Surface(pattern="grain", mean=90, spread=25, wave_px=6, length_px=24, angle_deg=0,
               flaw="faded"),
    8: Surface(pattern="grain", mean=125, spread=20, wave_px=4, flaw="spot"),
    9: Surface(pattern="grain", mean=150, spread=26, wave_px=9, length_px=20, angle_deg=40,
               flaw="turned"),
    10: Surface(pattern="weave", mean=110, spread=28, wave_px=8, length_px=16, angle_deg=0,
                flaw="faded"),
}
"""By class number. Classes 1, 2 and 4 are modelled on DAGM 2007, the others are invented."""
# fmt: on


@dataclass(frozen=True, kw_only=True)
class Ellipse:
    """A rotated ellipse on the pixels; it may stick out of the image, its centre does not.

    Attributes:
      along, across: [H, W] coordinates in half axes: the ellipse is along**2 + across**2 <= 1.
      half_px: Half the shorter axis.
    """

    along: Floats
    across: Floats
    half_px: float

    @property
    def radius(self) -> Floats:
        """[H, W] 0 in the centre, 1 on the border."""
        return np.hypot(self.along, self.across)


def make_image(
    rng: np.random.Generator, surface: Surface, size: int, *, defective: bool
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Draws an image [H, W] uint8 and its mask (255 in the ellipse, else 0; None if flawless).

    The same state of `rng` gives the same surface with and without a defect.
    """
    angle = surface.angle_deg + rng.uniform(-6, 6)
    field = _pattern(rng, surface, size, angle)
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    light = 0.15 * smooth_noise(rng, (axis, axis), scale=1.2, reach=1)
    mean = surface.mean * np.exp(rng.normal(0, 0.05))
    mask = None
    if defective:
        ellipse = _ellipse(rng, size)
        field = _flawed(rng, surface, field, ellipse, angle)
        mask = np.where(ellipse.radius <= 1, np.uint8(255), np.uint8(0))
    image = np.rint(mean + surface.spread * (field + light)).clip(0, 255).astype(np.uint8)
    return image, mask


def _pattern(rng: np.random.Generator, surface: Surface, size: int, angle: float) -> Floats:
    """[H, W] texture of mean 0 and standard deviation 1."""
    field = _grain(rng, surface, size, angle)
    if surface.pattern == "weave":
        field = np.maximum(field, _grain(rng, surface, size, angle + 90))
    elif surface.pattern == "rings":
        field = field + 0.8 * _rings(rng, size)
    elif surface.pattern == "rays":
        field = 0.35 * field + _rays(rng, size)
    return (field - field.mean()) / field.std()


def _grain(rng: np.random.Generator, surface: Surface, size: int, angle: float) -> Floats:
    """[H, W] white noise, filtered to one wavelength and, with a length, to one direction."""
    fy = np.fft.fftfreq(size).astype(np.float32)[:, None]
    fx = np.fft.rfftfreq(size).astype(np.float32)[None, :]
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    along, across = fx * cos + fy * sin, fy * cos - fx * sin
    shrink = min(1.0, np.sqrt(size / FULL_SIZE))
    wave_px, length_px = max(3.0, surface.wave_px * shrink), surface.length_px * shrink
    wave = np.abs(across) if surface.length_px else np.hypot(fx, fy)
    gain = np.exp(-0.5 * ((wave * wave_px - 1) / 0.55) ** 2)
    gain = gain * np.exp(-0.5 * (2 * along * length_px) ** 2)
    noise = np.fft.rfft2(rng.standard_normal((size, size), dtype=np.float32))
    field = np.fft.irfft2(noise * gain, s=(size, size)).astype(np.float32)
    return field / field.std()


def _rings(rng: np.random.Generator, size: int) -> Floats:
    """[H, W] circles around three centres, finer than the pixels, which make moire of them.

    cos(k r^2) with k near pi / 2 or pi shows, on whole pixels, the rings of the small rest of k.
    """
    y, x = np.mgrid[:size, :size].astype(np.float32)
    total = np.zeros((size, size), np.float32)
    for _ in range(3):
        centre_y, centre_x = np.rint(rng.uniform(-0.2, 1.2, 2) * size)
        rest = rng.uniform(0.001, 0.004) * FULL_SIZE / size
        curve = np.pi * rng.choice([0.5, 1.0]) + rest
        total += np.cos(curve * ((x - centre_x) ** 2 + (y - centre_y) ** 2)).astype(np.float32)
    return total / np.float32(np.sqrt(1.5))


def _rays(rng: np.random.Generator, size: int) -> Floats:
    """[H, W] ridges from about the middle outwards, lit from one side, fading."""
    y, x = np.mgrid[:size, :size].astype(np.float32) / size - rng.normal(0.5, 0.01, (2, 1, 1))
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    bend = 0.005 * smooth_noise(rng, (axis, axis), scale=0.5, reach=1)
    angle = np.arctan2(y, x)
    place = ((angle / (2 * np.pi) + bend) * CIRCLE_STEPS).astype(int) % CIRCLE_STEPS
    height = _circular_noise(rng, 110)[place]
    reach = np.abs(0.45 + 0.04 * _circular_noise(rng, 20)[place]) + 0.01
    return 2 * np.cos(angle - 1) * height * np.exp(-np.hypot(x, y) / reach)


def _circular_noise(rng: np.random.Generator, waves: int) -> Floats:
    """[CIRCLE_STEPS] noise that joins up with itself, of at most `waves` waves; deviation 1."""
    spectrum = np.fft.rfft(rng.standard_normal(CIRCLE_STEPS))[:waves]
    noise = np.fft.irfft(spectrum, CIRCLE_STEPS).astype(np.float32)
    return noise / noise.std()


def _ellipse(rng: np.random.Generator, size: int) -> Ellipse:
    """An ellipse anywhere in the image: 61 to 123 px long at 512 px, 13 to 26 px at 64 px."""
    centre_y, centre_x = rng.uniform(0.06, 0.94, 2) * size
    long_px = FULL_SIZE * rng.uniform(0.06, 0.12) * (size / FULL_SIZE) ** 0.75
    short_px = max(1.5, long_px * rng.uniform(0.35, 0.9))
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    dy, dx = y - np.float32(centre_y), x - np.float32(centre_x)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return Ellipse(
        along=(dx * cos + dy * sin) / np.float32(long_px),
        across=(dy * cos - dx * sin) / np.float32(short_px),
        half_px=short_px,
    )


def _flawed(
    rng: np.random.Generator, surface: Surface, field: Floats, ellipse: Ellipse, angle: float
) -> Floats:
    """[H, W] texture with the flaw of its class; outside the ellipse nothing changes."""
    size = len(field)
    soft = inside((ellipse.radius - 0.85) * ellipse.half_px, 0.3 * ellipse.half_px)
    depth = np.float32(rng.uniform(0.7, 0.9))
    if surface.flaw == "faded":
        return field * (1 - depth * soft)
    if surface.flaw == "spot":
        return field + depth * soft * np.float32(rng.choice([-1, 1]))
    if surface.flaw == "turned":
        return field + depth * soft * (_grain(rng, surface, size, angle + 90) - field)
    bow = np.float32(rng.uniform(-0.7, 0.7))
    offset = np.abs(ellipse.across - bow * (0.5 - ellipse.along**2)) * ellipse.half_px
    ends = (np.abs(ellipse.along) < 0.88) & (ellipse.radius < 1)
    line = inside(offset - max(0.8, size / 340), 1.5) * ends
    return field + line * (-2.2 * depth - field)
